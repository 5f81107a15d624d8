import { useEffect, useState } from "preact/hooks";

export interface Answer<T> {
  /** The latest answer; while another is on its way, the one before it. */
  data: T | null;
  error: string | null;
  waiting: boolean;
}

const KEPT = 200;
const answers = new Map<string, unknown>();

/** The answer to a request, kept under `key` so that going back is immediate; null asks for nothing. */
export function useAnswer<T>(key: string | null, load: () => Promise<T>): Answer<T> {
  const [state, setState] = useState<Answer<T> & { key: string | null }>(() => initial(key));
  useEffect(() => {
    if (key === null) return setState({ data: null, error: null, waiting: false, key });
    if (answers.has(key)) return setState(initial(key));
    let current = true;
    setState((before) => ({ ...before, waiting: true, error: null }));
    recall(key, load).then(
      (data) => current && setState({ data, error: null, waiting: false, key }),
      (error: Error) => current && setState({ data: null, error: error.message, waiting: false, key }),
    );
    return () => {
      current = false;
    };
  }, [key]);
  return state.key !== key && key !== null && answers.has(key) ? initial(key) : state;
}

/** Loads an answer ahead of its use; what goes wrong is told when it is used. */
export function prefetch<T>(key: string, load: () => Promise<T>): void {
  recall(key, load).catch(() => undefined);
}

/** Forgets the answers whose key starts so, after something has changed them. */
export function forget(prefix: string): void {
  for (const key of answers.keys()) if (key.startsWith(prefix)) answers.delete(key);
}

async function recall<T>(key: string, load: () => Promise<T>): Promise<T> {
  if (answers.has(key)) return answers.get(key) as T;
  const data = await load();
  answers.set(key, data);
  if (answers.size > KEPT) answers.delete(answers.keys().next().value!);
  return data;
}

function initial<T>(key: string | null): Answer<T> & { key: string | null } {
  const known = key !== null && answers.has(key);
  return { data: known ? (answers.get(key) as T) : null, error: null, waiting: key !== null && !known, key };
}

interface Job {
  state: string;
}

const AGAIN = 1200;
const PENDING = ["queued", "computing"];

/** As `useAnswer`, for what the server computes in the background: asks again until it is done or has failed. */
export function useJob<T extends Job>(key: string, load: () => Promise<T>): Answer<T> {
  const [turn, setTurn] = useState(0);
  const answer = useAnswer(`${key} #${turn}`, load);
  useEffect(() => {
    if (!answer.data || answer.waiting || !PENDING.includes(answer.data.state)) return;
    const timer = setTimeout(() => setTurn(turn + 1), AGAIN);
    return () => clearTimeout(timer);
  }, [answer.data, answer.waiting]);
  return answer;
}
