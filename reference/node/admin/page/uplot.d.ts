// The chart library under the name that the admin port serves it by.
export { default } from "uplot";
