// A webhook's HTTP side: answers what `receive(body, headers)` resolves to, a status and an object or nothing.
const http = require('node:http');

function serve(receive) {
  const server = http.createServer(async (request, response) => {
    const chunks = [];
    for await (const chunk of request) {
      chunks.push(chunk);
    }
    const [status, words] = await receive(Buffer.concat(chunks), request.headers);
    response.writeHead(status, { 'Content-Type': 'application/json' }).end(words && JSON.stringify(words));
  });
  server.listen(Number(process.env.PORT), '127.0.0.1');
}

module.exports = { serve };
