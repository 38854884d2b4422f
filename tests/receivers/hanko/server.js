// The receiver that Hanko publishes in its webhooks guide; only the JWKS URL and the port come from the environment.
const express = require('express');
const { createRemoteJWKSet, jwtVerify } = require('jose');

const app = express();

app.use(express.json());

app.post('/webhook', async (req, res) => {
  const { event, token } = req.body;

  try {
    const jwksUrl = process.env.JWKS_URL;

    const jwks = createRemoteJWKSet(new URL(jwksUrl));
    const { payload } = await jwtVerify(token, jwks);
    console.log('Decoded token payload:', payload);
  } catch (error) {
    console.error('Error processing the token:', error.message);
  }

  // Hanko's sample acknowledges either way: whether it verified is told by what it printed.
  res.sendStatus(202);
});

const PORT = process.env.PORT;
app.listen(PORT, () => {
  console.log(`Server is running on http://localhost:${PORT}`);
});
