const PAGE = 100;
/** More than any list has that is read whole: an organization has 10,000 runners at most. */
const MAX_PAGES = 100;

/**
 * Everything of one of GitHub's lists, which ends with the first page that is not full.
 * @param path where the list is, with a query if need be
 * @param read the items at the path of one page
 * @param tooLong what is thrown where the list has no end
 */
export async function everyPage<T>(
  path: string,
  read: (path: string) => Promise<readonly T[]>,
  tooLong: (what: string) => Error,
): Promise<T[]> {
  const all: T[] = [];
  for (let page = 1; page <= MAX_PAGES; page++) {
    const separator = path.includes("?") ? "&" : "?";
    const items = await read(`${path}${separator}per_page=${PAGE}&page=${page}`);
    all.push(...items);
    if (items.length < PAGE) return all;
  }
  throw tooLong(`lists more than ${PAGE * MAX_PAGES} at ${path}`);
}
