import type { ComponentChildren } from "preact";

/** What a view shows until its answer is there, or instead of it. */
export function Waiting({ what }: { what: string }) {
  return (
    <p class="note" role="status">
      Reading {what}…
    </p>
  );
}

export function Failure({ children }: { children: ComponentChildren }) {
  return (
    <p class="note failure" role="alert">
      {children}
    </p>
  );
}

export function Note({ children }: { children: ComponentChildren }) {
  return <p class="note">{children}</p>;
}

interface JobProps {
  answer: { data: { state: string; why: string } | null; error: string | null };
  /** What is being made, for "Computing …". */
  what: string;
}

/** What there is to say of a background job that has not brought its answer; nothing once it has. */
export function JobState({ answer: { data, error }, what }: JobProps) {
  if (error) return <Failure>{error}</Failure>;
  if (data?.state === "failed") return <Note>{data.why}</Note>;
  if (data?.state === "done") return null;
  return (
    <p class="note" role="status">
      Computing {what}. This happens once…
    </p>
  );
}
