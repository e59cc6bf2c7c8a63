/** The title of a page. */
export const title = (page) => page[0].toUpperCase() + page.slice(1);
