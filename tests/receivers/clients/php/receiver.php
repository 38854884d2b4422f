<?php
// PHP with phpseclib alone: Debian has no JWT library for PHP. It keeps the key set for ever, in a file as a PSR-6 cache would,
// and fetches it again at a kid that is not in it; so does php-jwt's CachedKeySet unless it is told otherwise.
// It has no time constants, so nothing is divided for a compressed timeline.
declare(strict_types=1);

require 'phpseclib3/autoload.php';

use phpseclib3\Crypt\EC;
use phpseclib3\Math\BigInteger;

// A warning that is printed would answer 200 before anything is verified.
set_error_handler(fn ($_, $words) => throw new ErrorException($words));

const CACHE_OF_PORT = 'php_jwks_%s.json';
const SCALAR_BYTES = 32;
const MEMBERS_OF_KEY = ['kty' => 0, 'crv' => 0, 'x' => 0, 'y' => 0];

function decoded(string $part): string
{
    $bytes = base64_decode(strtr($part, '-_', '+/'), true);
    return $bytes === false ? throw new UnexpectedValueException('not base64url') : $bytes;
}

function members(string $text): array
{
    return json_decode($text, true, 64, JSON_THROW_ON_ERROR | JSON_BIGINT_AS_STRING);
}

function key_in(string $set, string $kid): ?array
{
    foreach (members($set)['keys'] as $key) {
        if ($key['kid'] === $kid && $key['alg'] === 'ES256') {
            return $key;
        }
    }
    return null;
}

function cache(): string
{
    return sprintf(CACHE_OF_PORT, getenv('PORT'));
}

function fetched(): string
{
    $set = file_get_contents(getenv('JWKS_URL'));
    file_put_contents(cache(), $set);
    return $set;
}

function key_of(string $kid): EC\PublicKey
{
    $kept = is_file(cache()) ? key_in(file_get_contents(cache()), $kid) : null;
    $key = $kept ?? key_in(fetched(), $kid);
    if ($key === null) {
        throw new UnexpectedValueException("no key has the kid $kid");
    }
    return EC::loadFormat('JWK', json_encode(array_intersect_key($key, MEMBERS_OF_KEY)));
}

function verify(string $token): void
{
    [$header, $payload, $signature] = explode('.', $token) + ['', '', ''];
    ['alg' => $algorithm, 'kid' => $kid] = members(decoded($header));
    if ($algorithm !== 'ES256') {
        throw new UnexpectedValueException('the algorithm is not the expected one');
    }
    $halves = str_split(decoded($signature), SCALAR_BYTES);
    if (array_map('strlen', $halves) !== [SCALAR_BYTES, SCALAR_BYTES]) {
        throw new UnexpectedValueException('the signature is not 64 bytes long');
    }
    [$r, $s] = array_map(fn ($half) => new BigInteger($half, 256), $halves);
    $key = key_of($kid)->withHash('sha256')->withSignatureFormat('Raw');
    if (!$key->verify("$header.$payload", ['r' => $r, 's' => $s])) {
        throw new UnexpectedValueException('the signature is wrong');
    }
    $claims = members(decoded($payload));
    $flaw = match (false) {
        $claims['iss'] === getenv('ISSUER') => 'the issuer is another',
        in_array(getenv('AUDIENCE'), (array) $claims['aud'], true) => 'the audience is another',
        $claims['exp'] > time() => 'the token has run out',
        default => null,
    };
    if ($flaw !== null) {
        throw new UnexpectedValueException($flaw);
    }
}

try {
    verify(members(file_get_contents('php://input'))['token']);
    http_response_code(204);
} catch (Throwable $error) {
    http_response_code(400);
    echo get_class($error), ': ', $error->getMessage();
}
