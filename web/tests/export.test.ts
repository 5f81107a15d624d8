import { expect, test } from "vitest";
import { answerFrom, keyOf } from "../src/api/export";
import { select } from "../src/api/select";

const row = (number: number, more: object) => ({
  number,
  name: `test image ${number}`,
  label: null,
  text: null,
  row: null,
  ...more,
});
const page = {
  items: [
    row(1, { label: "cat", lds: 0.5, correct: 0.2 }),
    row(7, { label: "dog", lds: null, correct: 0.9, text: "A <b>bold</b> word" }),
    row(9, { label: "cat", lds: 0.9, correct: 0.5, row: { color: "Red" } }),
  ],
};
const found = (query: string) => select(page, new URLSearchParams(query)).items.map((item) => item.number);

test("rows are searched by every word in name, label, text and row", () => {
  expect(found("q=bold word")).toEqual([7]);
  expect(found("q=cat red")).toEqual([9]);
  expect(found("q=")).toEqual([1, 7, 9]);
});

test("filters leave out those without the figure, and sorting puts them last", () => {
  expect(found("min_lds=0")).toEqual([1, 9]);
  expect(found("correct=true")).toEqual([7]);
  expect(found("label=cat&max_lds=0.6")).toEqual([1]);
  expect(found("only=9,7")).toEqual([7, 9]);
  expect(found("sort=-lds")).toEqual([9, 1, 7]);
  expect(found("sort=lds")).toEqual([1, 9, 7]);
});

test("a page tells how many there are", () => {
  expect(select(page, new URLSearchParams("offset=1&limit=1"))).toMatchObject({
    total: 3,
    offset: 1,
    items: [{ number: 7 }],
  });
});

test("an export answers what it holds and says in words what it does not", async () => {
  const ask = answerFrom({
    fit: "default",
    made: "",
    note: "",
    answers: { "/api/map?of=units": { x: 1 }, "/api/targets": page },
  });
  const get = (path: string, init?: RequestInit) => ask(new Request(`http://export${path}`, init));
  expect(await (await get("/api/map?of=units&fit=default")).json()).toEqual({ x: 1 });
  expect((await (await get("/api/targets?q=dog")).json()).total).toBe(1);
  const missing = await get("/api/targets/3");
  expect(missing.status).toBe(404);
  expect((await missing.json()).detail).toContain("does not hold this target");
  expect((await get("/api/targets", { method: "POST" })).status).toBe(404);
});

test("the order of a query does not matter", () => {
  expect(keyOf(new URL("http://export/api/x?b=2&a=1"))).toBe("/api/x?a=1&b=2");
});
