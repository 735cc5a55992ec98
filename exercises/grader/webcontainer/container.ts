/**
 * What the backend needs of a WebContainer, and nothing more.
 *
 * `WebContainer` of `@webcontainer/api` has these methods and many others, so an instance of it is a `Container` as it
 * is. The tests drive the backend through another implementation, over real processes of this machine.
 */

/** A tree of files as `mount` takes it. */
export interface FileTree {
  readonly [name: string]:
    { readonly file: { readonly contents: string } } | { readonly directory: FileTree };
}

export interface ContainerProcess {
  /** Everything that the process writes, stdout and stderr together. */
  readonly output: ReadableStream<string>;
  /** Its exit code, when it is over. */
  readonly exit: Promise<number>;
  kill(): void;
}

export interface Container {
  /** Puts a tree of files into the container, at `mountPoint` (a folder that exists) or at its root. */
  mount(tree: FileTree, options?: { mountPoint?: string }): Promise<void>;
  spawn(
    command: string,
    args: string[],
    options?: { cwd?: string; env?: Record<string, string | number | boolean> },
  ): Promise<ContainerProcess>;
  readonly fs: {
    writeFile(path: string, contents: string): Promise<void>;
    mkdir(path: string, options: { recursive: true }): Promise<string>;
    rm(path: string, options?: { force?: boolean; recursive?: boolean }): Promise<void>;
  };
  teardown(): void;
}

/** Turns texts by path into a tree to mount. */
export function fileTreeOf(files: Readonly<Record<string, string>>): FileTree {
  const root: Record<string, FileTree[string]> = {};
  for (const [path, contents] of Object.entries(files)) {
    const names = path.split("/");
    const last = names.pop()!;
    let folder = root;
    for (const name of names) {
      const entry = folder[name];
      const directory = entry !== undefined && "directory" in entry ? (entry.directory as typeof root) : {};
      folder[name] = { directory };
      folder = directory;
    }
    folder[last] = { file: { contents } };
  }
  return root;
}
