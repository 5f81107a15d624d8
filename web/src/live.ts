import { useEffect, useState } from "preact/hooks";
import { api } from "./api/client";
import { embedded } from "./api/embedded";
import type { Status, Study } from "./api/types";

export interface Live {
  status: Status | null;
  error: string | null;
}

const RUNNING = 2000;
const IDLE = 10000;

/** How the study stands, asked again and again; an export has one answer, which never changes. */
export function useStatus(): Live {
  const [live, setLive] = useState<Live>({ status: null, error: null });
  useEffect(() => {
    let timer: ReturnType<typeof setTimeout>;
    let stopped = false;
    const ask = async () => {
      const now = await api.status().then(
        (status) => ({ status, error: null }),
        (error: Error) => ({ status: null, error: error.message }),
      );
      if (stopped) return;
      setLive(now);
      if (!embedded) timer = setTimeout(ask, now.status?.state === "running" ? RUNNING : IDLE);
    };
    void ask();
    return () => {
      stopped = true;
      clearTimeout(timer);
    };
  }, []);
  return live;
}

/** Whether the study has another fit, or another version of it, than the page shows. */
export function isStale(study: Study, status: Status): boolean {
  if (study.fit === null) return Object.keys(status.fits).length > 0;
  const version = status.fits[study.fit];
  return version !== undefined && version !== null && version !== study.version;
}
