/** The chart library under the name that the admin port serves it by, for the type checker. */
export { default } from "uplot";
