import { expect, test } from "vitest";
import { optionalPackage } from "./packages.ts";

const missing = (): Promise<never> =>
  Promise.reject(Object.assign(new Error("Cannot find package"), { code: "ERR_MODULE_NOT_FOUND" }));

test("a package that is there is handed on", async () => {
  expect(await optionalPackage("there", () => Promise.resolve({ answer: 42 }))).toEqual({ answer: 42 });
});

test("a package that is missing is named, with what to do about it", async () => {
  await expect(optionalPackage("ioredis", missing)).rejects.toThrow(
    "the package ioredis is not installed: run npm install",
  );
});

test("what is wrong within a package stays as it is", async () => {
  const broken = new TypeError("broken");
  await expect(optionalPackage("ioredis", () => Promise.reject(broken))).rejects.toBe(broken);
});
