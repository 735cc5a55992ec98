/** Addresses within the site, under whatever base path it is served. */
export function href(path = ""): string {
  const base = import.meta.env.BASE_URL;
  return `${base.endsWith("/") ? base : `${base}/`}${path.replace(/^\//, "")}`;
}
