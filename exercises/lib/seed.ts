/**
 * The seed of the run. A backend sets it before the suite is loaded; everything random in a suite starts from it, so
 * that a failing run can be had again.
 */

/** The seed when nobody asked for another one. */
export const seedDefault = 1;

/** The seed of this run: a whole number from 0 to 2^32 - 1. */
export const seed: number = (globalThis as { ozSeed?: number }).ozSeed ?? seedDefault;
