/**
 * Client packages of other brokers, which only benchmarks use: they are development dependencies, and a copy of this
 * project without them works as well, until somebody asks for one of these peers.
 */

/** Loads a package; when it is missing, rejects with what to do about it. */
export async function optionalPackage<Module>(name: string, load: () => Promise<Module>): Promise<Module> {
  try {
    return await load();
  } catch (error) {
    const isMissing = error instanceof Error && "code" in error && error.code === "ERR_MODULE_NOT_FOUND";
    if (!isMissing) throw error;
    throw new Error(`the package ${name} is not installed: run npm install`, { cause: error });
  }
}
