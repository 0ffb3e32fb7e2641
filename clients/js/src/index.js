export { EventCast } from "./client.js";
export { EventCastError } from "./errors.js";
