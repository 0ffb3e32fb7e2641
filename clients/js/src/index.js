export { EventCast } from "./client.js";
export { EventCastError } from "./wire.js";
