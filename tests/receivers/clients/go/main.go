// go-oidc as its documentation has it: one remote key set for the life of the process, and a verifier with all three pins.
//
// It believes the keys it has for ever. When none of them verifies a token, it fetches the set again, unless the max-age of
// the one it has ends more than 30 s from now. So nothing here is divided for a compressed timeline: Signet's development
// profile sends a max-age of one second.
package main

import (
	"context"
	"encoding/json"
	"io"
	"log"
	"net/http"
	"os"

	oidc "github.com/coreos/go-oidc"
)

const bodyBytesMax = 1 << 20

func main() {
	keys := oidc.NewRemoteKeySet(context.Background(), os.Getenv("JWKS_URL"))
	verifier := oidc.NewVerifier(os.Getenv("ISSUER"), keys, &oidc.Config{
		ClientID:             os.Getenv("AUDIENCE"),
		SupportedSigningAlgs: []string{oidc.ES256},
	})

	http.HandleFunc("/webhook", func(answer http.ResponseWriter, request *http.Request) {
		var delivery struct{ Token string }
		err := json.NewDecoder(io.LimitReader(request.Body, bodyBytesMax)).Decode(&delivery)
		if err == nil {
			_, err = verifier.Verify(request.Context(), delivery.Token)
		}
		if err != nil {
			http.Error(answer, err.Error(), http.StatusBadRequest)
			return
		}
		answer.WriteHeader(http.StatusNoContent)
	})
	log.Fatal(http.ListenAndServe("127.0.0.1:"+os.Getenv("PORT"), nil))
}
