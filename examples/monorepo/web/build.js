import { title } from "./title.js";

console.log(`<title>${title("home")}</title>`);
