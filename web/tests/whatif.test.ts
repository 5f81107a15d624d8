import { expect, test } from "vitest";
import { formatUnits, parseUnits, removalPath, toCrossZero, without } from "../src/whatif";

const level = { slope: 0, bend: 0, usual: 50, units: 100 };
const whole = { full: 3, level };
const weights = [
  { unit: 4, weight: 2 },
  { unit: 9, weight: 1.5 },
  { unit: 1, weight: -1 },
];

test("leaving units out subtracts their weights, and units of no weight change nothing", () => {
  expect(without(whole, weights, new Set())).toBe(3);
  expect(without(whole, weights, new Set([4, 1, 77]))).toBe(2);
});

test("fewer units do something by themselves, whichever they are", () => {
  const bent = { full: 3, level: { slope: 2, bend: 1, usual: 50, units: 100 } };
  // Of 2 x + x^2 the place 0.5 has 1.25 and all units have 3; below subsets' size the bend is not known.
  const many = new Set(Array.from({ length: 50 }, (_, at) => 1000 + at));
  expect(without(bent, [], new Set([...many].slice(0, 25)))).toBeCloseTo(3 - 1.75);
  expect(without(bent, [], many)).toBeCloseTo(0);
  expect(removalPath(bent, [{ unit: 1, weight: 1 }])[1]).toBeCloseTo(
    without(bent, [{ unit: 1, weight: 1 }], new Set([1])),
  );
});

test("the path ends where removing everything ends", () => {
  const path = removalPath(whole, weights);
  expect(path).toEqual([3, 1, -0.5, 0.5]);
  expect(path.at(-1)).toBe(without(whole, weights, new Set([4, 9, 1])));
});

test("the crossing is the first change of sign, from either side", () => {
  expect(toCrossZero(whole, weights)).toBe(2);
  expect(toCrossZero({ full: -0.5, level }, [{ unit: 1, weight: -1 }])).toBe(1);
  expect(toCrossZero({ full: 30, level }, weights)).toBeNull();
  expect(toCrossZero({ full: 0, level }, weights)).toBeNull();
});

test("units in a URL are numbers or nothing", () => {
  expect([...parseUnits("8,3,3,x,-1,2e3,<b>")]).toEqual([8, 3]);
  expect(formatUnits(new Set([8, 3]))).toBe("3,8");
  expect([...parseUnits(undefined)]).toEqual([]);
});
