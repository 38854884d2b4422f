// A webhook's HTTP side: 204 when `verify(token)` resolves, 400 with the library's own words when it does not.
const http = require('node:http');

const { AUDIENCE: audience, COMPRESSION, ISSUER: issuer, JWKS_URL: jwksUrl, PORT } = process.env;
if (!audience || !issuer) {
  throw new Error('AUDIENCE and ISSUER must be set: without them neither claim would be checked');
}

async function answer(request, verify) {
  const chunks = [];
  for await (const chunk of request) {
    chunks.push(chunk);
  }
  try {
    await verify(JSON.parse(Buffer.concat(chunks)).token);
    return [204, ''];
  } catch (error) {
    return [400, `${error.name}: ${error.message}`];
  }
}

function serve(verify) {
  const server = http.createServer(async (request, response) => {
    const [status, words] = await answer(request, verify);
    response.writeHead(status).end(words);
  });
  server.listen(Number(PORT), '127.0.0.1');
}

module.exports = { audience, compression: Number(COMPRESSION), issuer, jwksUrl, serve };
