//! Asking as somebody in particular, and reading how a request was refused.

use reqwest::Method;
use reqwest::RequestBuilder;
use serde_json::{Value, json};

use super::{Answer, Service, send, with_json};

impl Service {
    /// Makes a tenant and answers its id.
    pub async fn tenant(&self, name: &str) -> String {
        let answer = self.post("/v1/admin/tenants", &json!({"name": name})).await;
        assert_eq!(answer.status, 201, "{}", answer.text);
        answer.json()["id"].as_str().unwrap().to_owned()
    }

    /// Makes an API key with these scopes for every tenant, and answers the key itself.
    pub async fn api_key(&self, scopes: &[&str]) -> String {
        let wish = json!({"label": "a test's", "scopes": scopes, "instance_wide": true});
        made_key(&self.post("/v1/admin/api-keys", &wish).await)
    }

    /// The same for one tenant alone.
    pub async fn api_key_of(&self, tenant: &str, scopes: &[&str]) -> String {
        let wish = json!({"label": "a test's", "scopes": scopes});
        let request = self.request(Method::POST, "/v1/admin/api-keys").header("x-tenant-id", tenant);
        made_key(&send(with_json(request, &wish.to_string())).await)
    }

    /// How many of a webhook's deliveries have this status.
    pub async fn deliveries(&self, webhook: &str, status: &str) -> usize {
        let first = format!("/v1/webhooks/{webhook}/deliveries?limit=100&status={status}");
        let (mut page, mut count) = (self.get(&first).await.json(), 0);
        loop {
            count += page["data"].as_array().unwrap().len();
            let Some(cursor) = page["pagination"]["next_cursor"].as_str() else { return count };
            page = self.get(&format!("{first}&cursor={cursor}")).await.json();
        }
    }

    /// A request with this key, whose route is a method and a path.
    pub fn request_with(&self, key: &str, route: &str) -> RequestBuilder {
        let (method, path) = route.split_once(' ').unwrap();
        self.anonymous(method.parse().unwrap(), path).bearer_auth(key)
    }
}

fn made_key(answer: &Answer) -> String {
    assert_eq!(answer.status, 201, "{}", answer.text);
    answer.json()["key"].as_str().unwrap().to_owned()
}

impl Answer {
    /// The problem that it is: every refusal is written in this one way.
    pub fn problem(&self) -> Value {
        assert_eq!(self.header("content-type"), "application/problem+json", "{} {}", self.status, self.text);
        let problem = self.json();
        assert_eq!(problem["status"], self.status);
        assert_eq!(problem["type"], format!("urn:signet:problem:{}", problem["code"].as_str().unwrap()));
        assert!(problem["title"].is_string() && problem["detail"].is_string(), "{problem}");
        assert_eq!(problem["request_id"], self.header("x-request-id"));
        assert!(self.header("x-request-id").starts_with("req_"));
        problem
    }

    /// What it points at as faulty, in its order.
    pub fn pointers(&self) -> Vec<String> {
        let problem = self.problem();
        let faults = problem["errors"].as_array().cloned().unwrap_or_default();
        faults.iter().map(|fault| fault["pointer"].as_str().unwrap().to_owned()).collect()
    }

    /// Everything that it tells about a refused request but that request's own name.
    pub fn told(&self) -> (u16, Value) {
        let mut problem = self.problem();
        problem["request_id"].take();
        (self.status, problem)
    }
}
