// Verifies an access token with `jose`, as an API would that was told nothing but where the
// authorization server's metadata is:
//
//     node verify.mjs FOLDER_OF_PACKAGES METADATA_URL AUDIENCE SECONDS < TOKEN
//
// SECONDS is the time to verify at, since 1970. Prints `{"claims": …}`, or `{"refused": CODE}`.
import { createRequire } from 'node:module';
import { text } from 'node:stream/consumers';
import { pathToFileURL } from 'node:url';

const [, , folder, metadataUrl, audience, seconds] = process.argv;
const path = createRequire(`${folder}/`).resolve('jose');
const { createRemoteJWKSet, jwtVerify } = await import(pathToFileURL(path));

const { issuer, jwks_uri: jwksUri } = await (await fetch(metadataUrl)).json();
const options = {
  issuer,
  audience,
  typ: 'at+jwt',
  algorithms: ['ES256', 'RS256', 'EdDSA'],
  requiredClaims: ['iss', 'exp', 'aud', 'sub', 'client_id', 'iat', 'jti'],
  currentDate: new Date(Number(seconds) * 1000),
};
try {
  const keys = createRemoteJWKSet(new URL(jwksUri));
  const { payload } = await jwtVerify(await text(process.stdin), keys, options);
  console.log(JSON.stringify({ claims: payload }));
} catch (error) {
  console.log(JSON.stringify({ refused: error.code }));
}
