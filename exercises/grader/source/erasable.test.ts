import { describe, expect, test } from "vitest";
import { findNotErasable } from "./erasable.ts";

describe("what cannot be erased is found where it stands", () => {
  test.each([
    ["enum Color { red }", "enum"],
    ["const enum Color { red }", "const "],
    ["export enum Color { red }", "export "],
    ["type A = 1\nnamespace Inner.Part { export const a = 1 }", "type A = 1\n"],
    ["export namespace Inner { let a = 1 }", "export "],
    ["module Inner { let a = 1 }", ""],
    ["class A { constructor(readonly x = (1)) {} }", "class A { constructor("],
    ["class A { constructor(x: number, private y: string) {} }", "class A { constructor(x: number, "],
    ["class A { constructor(override x: number) { super() } }", "class A { constructor("],
    ["@frozen class A {}", ""],
    ["class A { @bound method() {} }", "class A { "],
    ['import fs = require("fs")', ""],
    ["export = 1", ""],
  ])("%j", (source, before) => {
    const found = findNotErasable(source);
    expect(found).toHaveLength(1);
    expect(found[0]?.offset).toBe(before === "enum" ? 0 : before.length);
    expect(found[0]?.message).not.toBe("");
  });

  test("all of them, in order", () => {
    expect(findNotErasable("enum A {}\nenum B {}").map(({ offset }) => offset)).toEqual([0, 10]);
  });
});

describe("what only looks like it is left alone", () => {
  test.each([
    "declare enum Color { red }",
    'declare module "outside" { export namespace Inner { const a: 1 } }',
    "declare global { namespace Inner { const a: 1 } }\nexport {}",
    "export declare namespace Outer { namespace Inner { const a: 1 } }",
    "const text = 'enum A {}' + \"namespace B {}\" + `@frozen class { constructor(private x) } ${1} enum (`",
    "// enum A {}\n/* namespace B { } @frozen */\n/** @param x the one */",
    "const pattern = /enum A {}|(private x)/",
    "x.enum = { enum: 1, namespace: 2, module: 3, private: 4, import: 5, export: 6 }; x.private(x.import)",
    "const namespace = 1, module = 2; f(namespace, module)",
    "type Names = { namespace: string; module: Outer; readonly enum: 1 }",
    "class A { private x = (1); protected readonly y = 2; static #z = 3; public f(this: A, readonly: number) {} }",
    "f(class { private x = 1 }, (value: readonly string[]) => value)",
    "function f(list: readonly string[], map: { readonly a: 1 }) {}",
    'import type { A } from "a"; import { type B } from "b"; export { c } from "c"; export const d = 1',
    "abstract class A<in out T> implements B { declare x: T; abstract y(): void; z!: T; [key: string]: unknown }",
    "const f = <T,>(x: T) => x satisfies T as unknown as T; function assert(x: unknown): asserts x is string {}",
  ])("%j", (source) => {
    expect(findNotErasable(source)).toEqual([]);
  });
});
