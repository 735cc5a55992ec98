/**
 * The limits of the protocol. Everything that a peer can make grow stops at one of these, and a reply that refuses
 * something names the limit it ran into. A server may be configured lower; these are the defaults.
 */

/** The largest value of a frame's length field, in bytes: everything after that field. */
export const frameSizeMaxDefault = 16 * 1024 * 1024;

/** The largest frame size that a server can be configured to accept: 1 GiB. */
export const frameSizeMaxCeiling = 1024 * 1024 * 1024;

/** The newest version of the requests that this code speaks. */
export const protocolVersionMax = 1;

/** The oldest version of the requests that this code speaks. */
export const protocolVersionMin = 1;
