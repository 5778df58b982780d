// A real OpenID provider on this machine, for the tests: `oidc-provider` with people,
// single-page apps, a machine and a page to log in at, all named by the JSON in the second argument.
//
//     node provider.mjs FOLDER_OF_PACKAGES SETTINGS
//
// Prints `listening ISSUER` once it does, and ends when its standard input does.
import { generateKeyPairSync, randomBytes, randomUUID } from 'node:crypto';
import { createServer } from 'node:http';
import { createRequire } from 'node:module';
import { text } from 'node:stream/consumers';
import { pathToFileURL } from 'node:url';

const [, , folder, given] = process.argv;
const path = createRequire(`${folder}/`).resolve('oidc-provider');
const { default: Provider } = await import(pathToFileURL(path));
const settings = JSON.parse(given);
console.warn = () => {}; // that this is no provider for production
const cookieKey = randomBytes(32).toString('hex');

function newKey() {
  const { privateKey } = generateKeyPairSync('rsa', { modulusLength: 2048 });
  return { ...privateKey.export({ format: 'jwk' }), kid: randomUUID(), use: 'sig', alg: 'RS256' };
}

// The API that access tokens are for: they are JWTs of RFC 9068.
const resourceServer = {
  scope: '',
  audience: settings.audience,
  accessTokenFormat: 'jwt',
  jwt: { sign: { alg: 'RS256' } },
};

function makeProvider(issuer, keys) {
  return new Provider(issuer, {
    jwks: { keys },
    cookies: { keys: [cookieKey] },
    clients: [
      ...settings.apps.map((app) => ({
        client_id: app,
        redirect_uris: [settings.redirectUri],
        token_endpoint_auth_method: 'none',
        require_auth_time: true,
      })),
      {
        client_id: settings.machine,
        client_secret: settings.machineSecret,
        grant_types: ['client_credentials'],
        redirect_uris: [],
        response_types: [],
      },
    ],
    claims: {
      openid: ['sub', 'acr', 'amr', 'auth_time', 'sid'],
      email: ['email', 'email_verified'],
    },
    acrValues: [settings.weak, settings.strong],
    conformIdTokenClaims: false, // the claims of `email` are in the id token
    features: {
      devInteractions: { enabled: false },
      clientCredentials: { enabled: true },
      resourceIndicators: {
        enabled: true,
        useGrantedResource: () => true,
        getResourceServerInfo: () => resourceServer,
      },
    },
    interactions: { url: (_, interaction) => `/login/${interaction.uid}` },
    findAccount: (_, id) => ({
      accountId: id,
      claims: () => ({ sub: id, email: settings.people[id].email, email_verified: true }),
    }),
    loadExistingGrant: grantWhatIsAsked,
  });
}

// Nobody is asked for consent: the app is the provider's own.
async function grantWhatIsAsked(ctx) {
  const { client, provider, session, params } = ctx.oidc;
  const grant = new provider.Grant({ clientId: client.clientId, accountId: session.accountId });
  grant.addOIDCScope(params.scope);
  for (const resource of Object.keys(ctx.oidc.resourceServers)) grant.addResourceScope(resource, '');
  await grant.save();
  return grant;
}

// The page to log in at: a name and a password, and a one-time password as a second factor.
async function logIn(request, response) {
  if (request.method !== 'POST') {
    response.end('log in with `name`, `password` and, where wanted, `otp`\n');
    return;
  }
  const form = new URLSearchParams(await text(request));
  const person = settings.people[form.get('name')];
  if (!person || form.get('password') !== person.password) {
    response.writeHead(401).end('the name or the password is wrong\n');
    return;
  }
  const strong = form.get('otp') === person.otp;
  await provider.interactionFinished(request, response, {
    login: {
      accountId: form.get('name'),
      acr: strong ? settings.strong : settings.weak,
      amr: strong ? ['pwd', 'otp'] : ['pwd'],
    },
  });
}

// From now on another key signs; the old one is published beside it, or no longer.
function rotate(keepOld) {
  keys = [newKey(), ...(keepOld ? keys : [])];
  provider = makeProvider(issuer, keys);
}

const server = createServer(async (request, response) => {
  const { pathname } = new URL(request.url, issuer);
  if (pathname.startsWith('/login/')) {
    await logIn(request, response);
  } else if (pathname === '/rotate') {
    rotate((await text(request)) === 'keep');
    response.writeHead(204).end();
  } else {
    provider.callback()(request, response);
  }
});

let keys = [newKey()];
let issuer;
let provider;
server.listen(0, '127.0.0.1', () => {
  issuer = `http://127.0.0.1:${server.address().port}`;
  provider = makeProvider(issuer, keys);
  console.log(`listening ${issuer}`);
});
process.stdin.resume().on('end', () => process.exit());
