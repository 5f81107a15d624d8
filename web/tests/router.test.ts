import { expect, test } from "vitest";
import { href, parse } from "../src/router";

test("a view, its argument and its query come back from their URL", () => {
  const hash = href("target", 7, { remove: "3,5", k: 10, empty: "", none: null, off: false });
  expect(hash).toBe("#/target/7?remove=3%2C5&k=10");
  expect(parse(hash)).toEqual({ view: "target", arg: "7", query: { remove: "3,5", k: "10" } });
});

test("anything unknown leads to the gallery", () => {
  for (const hash of ["", "#", "#/", "#/nowhere", "#/%E0%A4%A/x", "#/<script>"])
    expect(parse(hash).view).toBe("targets");
});

test("text with slashes, ampersands and question marks survives", () => {
  const query = { q: "a/b?c&d=<b>" };
  expect(parse(href("targets", null, query)).query).toEqual(query);
});
