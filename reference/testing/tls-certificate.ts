/**
 * A certificate for tests, signed by itself, for localhost and 127.0.0.1. Its key stands here for all to read: trust it
 * nowhere. Made with `openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 36500`.
 */

/** The certificate; also the authority that a client must trust. */
export const testCertificate = `-----BEGIN CERTIFICATE-----
MIIBmzCCAUGgAwIBAgIUP/EA9WJo0NHZCWATLGtXankx3jwwCgYIKoZIzj0EAwIw
FDESMBAGA1UEAwwJbG9jYWxob3N0MCAXDTI2MTEyMTA2MDEyNVoYDzIxMjYxMDI4
MDYwMTI1WjAUMRIwEAYDVQQDDAlsb2NhbGhvc3QwWTATBgcqhkjOPQIBBggqhkjO
PQMBBwNCAAQ4iVfS/tIdJxUS0rk8+UAnZ8XCrPuFs4+KI49ccHr29iDDXg42sPjy
bW4FKRrX45izp3NdWRVVKGr5yln3hMmUo28wbTAdBgNVHQ4EFgQUekv6XQplGsg5
uRDhhzCDxqhqGAYwHwYDVR0jBBgwFoAUekv6XQplGsg5uRDhhzCDxqhqGAYwDwYD
VR0TAQH/BAUwAwEB/zAaBgNVHREEEzARgglsb2NhbGhvc3SHBH8AAAEwCgYIKoZI
zj0EAwIDSAAwRQIhANmeSpwvwtpiorFatKlizXyxpEM57eZq0fyUUnbaiNlTAiAf
C0aFC//zhraijsjX36qXr7wSn0NT6GACTQU0xegyPA==
-----END CERTIFICATE-----
`;

/** Its private key. */
export const testKey = `-----BEGIN PRIVATE KEY-----
MIGHAgEAMBMGByqGSM49AgEGCCqGSM49AwEHBG0wawIBAQQgiygMXsWYWprk8s8J
ljOwOUsw3e4zSe8O+N7OLyUBqdChRANCAAQ4iVfS/tIdJxUS0rk8+UAnZ8XCrPuF
s4+KI49ccHr29iDDXg42sPjybW4FKRrX45izp3NdWRVVKGr5yln3hMmU
-----END PRIVATE KEY-----
`;
