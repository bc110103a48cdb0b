"""Customers, interactions and consents over HTTP, as each of the cast."""

import json

import pytest

from customers import rows, serializers
from customers.models import Customer
from kaireon.tenancy.context import transaction
from tests.cast import ADA, MALLORY
from tests.customers.conftest import bring, consent, customer, purchase

PATHS = {"customers": [{"customerId": "c-1"}], "interactions": [purchase("o-1")], "consents": [consent()]}


def post(client, plural, batch, **more):
    return client.post(f"/api/v1/{plural}", {plural: batch}, format="json", **more)


def test_an_editor_brings_customers_and_an_admin_reads_them(client_of):
    answer = post(client_of("ed"), "customers", [{"customerId": "c-1", "name": "Zoë"}, {"customerId": 2}])
    assert answer.status_code == 200
    assert answer.json() == {
        "received": 2,
        "created": 1,
        "updated": 0,
        "unchanged": 0,
        "errors": [{"index": 1, "field": "customerId", "message": "must be text."}],
    }
    page = client_of("ada").get("/api/v1/customers").json()
    assert (page["total"], page["page"], page["limit"]) == (1, 1, 50)
    assert page["customers"][0]["name"] == "Zoë"


def test_one_customer_is_found_by_number_also_with_slashes_in_it(client_of):
    post(client_of("ed"), "customers", [{"customerId": "EU/DE/17"}])
    assert client_of("ada").get("/api/v1/customers/EU/DE/17").json()["customerId"] == "EU/DE/17"


@pytest.mark.parametrize("nick", ["vi", "ed"])
def test_who_may_not_read_personal_values_sees_them_masked(client_of, nick):
    row = {
        "customerId": "c-1",
        "name": "Ann Example",
        "email": "ann@example.com",
        "phone": "(614) 555-0142",
        "birthDate": "1980-02-28",
        "address": "17 Elm Street",
        "attributes": {"tier": "gold member", "shoes": 44, "pets": ["Rex the dog"]},
    }
    post(client_of("ed"), "customers", [row])
    seen = client_of(nick).get("/api/v1/customers/c-1").json()
    assert seen["email"] == "a***@example.com"
    assert seen["birthDate"] == "1980-**-**"
    assert seen["attributes"]["shoes"] == "***"
    # In what was given: our own id may have any digits.
    given = json.dumps({name: seen[name] for name in row})
    for value in ("Ann Example", "ann@", "614", "Elm", "gold", "Rex"):
        assert value not in given
    assert client_of("ada").get("/api/v1/customers/c-1").json()["attributes"] == row["attributes"]


def test_a_number_that_is_an_address_is_masked_too(client_of):
    post(client_of("ed"), "customers", [{"customerId": "ann@example.com"}])
    assert client_of("vi").get("/api/v1/customers").json()["customers"][0]["customerId"] == "a***@example.com"


def test_only_who_may_read_personal_values_may_look_for_them(client_of):
    post(client_of("ed"), "customers", [{"customerId": "c-1", "email": "ann@example.com"}])
    assert client_of("vi").get("/api/v1/customers?email=ann@example.com").status_code == 403
    assert client_of("ada").get("/api/v1/customers?email=ANN@example.com").json()["total"] == 1


@pytest.mark.parametrize("plural", PATHS)
@pytest.mark.parametrize(("nick", "get", "post_"), [("vi", 200, 403), ("ed", 200, 200), ("aud", 403, 403)])
def test_the_role_table_holds(client_of, plural, nick, get, post_):
    assert client_of(nick).get(f"/api/v1/{plural}").status_code == get
    assert post(client_of(nick), plural, PATHS[plural]).status_code == post_


@pytest.mark.parametrize("plural", PATHS)
def test_another_tenant_sees_nothing(client_of, plural):
    for each, batch in PATHS.items():
        assert post(client_of("ed"), each, batch).json()["created"] == 1
    mallory = client_of("mallory")
    assert mallory.get(f"/api/v1/{plural}").json()["total"] == 0
    assert mallory.get(f"/api/v1/{plural}?customerId=c-1").json()["total"] == 0
    assert mallory.get("/api/v1/customers/c-1").status_code == 404
    headers = {"HTTP_X_TENANT_ID": "acme"}
    assert mallory.get(f"/api/v1/{plural}", **headers).json().get("total", 0) == 0


def test_a_row_cannot_choose_its_tenant(client_of):
    answer = post(client_of("mallory"), "customers", [{"customerId": "c-1", "tenantId": "acme"}])
    assert answer.json()["errors"][0]["field"] == "tenantId"
    with ADA.here(), transaction():
        assert not Customer.objects.exists()


@pytest.mark.parametrize(
    ("body", "status", "named"),
    [
        (b"{", 400, "JSON"),
        (b"[]", 400, "body"),
        (b"null", 400, "body"),
        (b"{}", 400, "customers"),
        (b'{"customers": []}', 400, "customers"),
        (b'{"customers": {}}', 400, "customers"),
        (b'{"customers": [], "mode": "replace"}', 400, "mode"),
        (b'{"customers": [{"customerId": "\\u0000"}]}', 400, "NUL"),
        (b'{"customers": [{"customerId": "\\ud83d"}]}', 400, "surrogate"),
        (b'{"customers": [{"customerId": "c", "attributes": {"n": NaN}}]}', 400, "NaN"),
        (b"\xff\xfe", 400, "UTF-8"),
        (b'{"customers": [' + b'{"customerId": "c"},' * 1000 + b'{"customerId": "c"}]}', 400, "1000"),
        (b'{"customers": [{"customerId": "' + b"x" * 10_000_000 + b'"}]}', 413, "large"),
    ],
)
def test_it_refuses_bodies_it_cannot_use(client_of, body, status, named):
    answer = client_of("ed").post("/api/v1/customers", body, content_type="application/json")
    assert answer.status_code == status
    assert set(answer.json()["error"]) == {"code", "message", "status", "requestId"}
    assert named in answer.json()["error"]["message"]
    with ADA.here(), transaction():
        assert not Customer.objects.exists()


def test_the_same_idempotency_key_replays_the_answer(client_of):
    first = post(client_of("ed"), "customers", PATHS["customers"], HTTP_IDEMPOTENCY_KEY="k-1")
    again = post(client_of("ed"), "customers", PATHS["customers"], HTTP_IDEMPOTENCY_KEY="k-1")
    other = post(client_of("ed"), "customers", [{"customerId": "c-2"}], HTTP_IDEMPOTENCY_KEY="k-1")
    assert first.json() == again.json()
    assert first.json()["created"] == 1
    assert other.status_code == 422


def test_interactions_are_listed_newest_first_and_filtered(client_of):
    with ADA.here():
        customer("c-1")
        customer("c-2")
        bring(
            "interactions",
            purchase("o-1", occurredAt="2025-10-31T23:00:00Z"),
            purchase("o-2", occurredAt="2025-11-01T00:00:00Z"),
            purchase("o-3", "c-2", occurredAt="2025-12-01T00:00:00Z", channel="Web"),
        )
    client = client_of("ada")

    def ids(query):
        return [i["externalId"] for i in client.get(f"/api/v1/interactions?{query}").json()["interactions"]]

    assert ids("") == ["o-3", "o-2", "o-1"]
    assert ids("customerId=c-1") == ["o-2", "o-1"]
    assert ids("customerId=c-404") == []
    assert ids("from=2025-11-01") == ["o-3", "o-2"]
    assert ids("to=2025-10-31") == ["o-1"]
    assert ids("from=2025-11-01T00:00:01Z&to=2025-12-01T00:00:00Z") == []
    assert ids("limit=1&page=2") == ["o-2"]
    [newest] = client.get("/api/v1/interactions?limit=1").json()["interactions"]
    assert (newest["customerId"], newest["amount"], newest["channel"]) == ("c-2", "11.7700", "web")
    assert newest["occurredAt"] == "2025-12-01T00:00:00.000000Z"


@pytest.mark.parametrize("query", ["from=yesterday", "to=2026-01-01T00:00:00", "limit=x", "page=0", "customerId=%00"])
def test_a_malformed_filter_is_refused_by_its_name(client_of, query):
    answer = client_of("ada").get(f"/api/v1/interactions?{query}")
    assert answer.status_code == 400
    assert query.split("=")[0] in answer.json()["error"]["message"]


def test_a_limit_over_the_cap_is_clamped(client_of):
    assert client_of("ada").get("/api/v1/customers?limit=5000").json()["limit"] == 100


def test_consents_are_listed_with_the_customers_number(client_of):
    with ADA.here():
        customer()
        bring("consents", consent())
    [found] = client_of("ada").get("/api/v1/consents?customerId=c-1").json()["consents"]
    assert (found["customerId"], found["channel"], found["status"]) == ("c-1", "email", "granted")
    assert not {"subjectKey", "emailKey", "tenantId"} & set(found)


def test_what_a_row_may_hold_is_what_the_schema_says():
    for fields, serializer in (
        (rows.CUSTOMER, serializers.CustomerIn),
        (rows.INTERACTION, serializers.InteractionIn),
        (rows.CONSENT, serializers.ConsentIn),
    ):
        declared = serializer().fields
        assert {n: f.required for n, f in fields.items()} == {n: f.required for n, f in declared.items()}


@pytest.mark.parametrize(
    ("plural", "shape"),
    [
        ("customers", serializers.CustomerOut),
        ("interactions", serializers.InteractionOut),
        ("consents", serializers.ConsentOut),
    ],
)
def test_answers_have_the_declared_shape(client_of, plural, shape):
    for each, batch in PATHS.items():
        post(client_of("ed"), each, batch)
    [row] = client_of("ada").get(f"/api/v1/{plural}").json()[plural]
    assert set(row) == set(shape().fields)


def test_mallorys_customer_of_the_same_number_is_another(client_of):
    with MALLORY.here():
        customer("c-1", name="Hers")
    post(client_of("ed"), "customers", [{"customerId": "c-1", "name": "Ours"}])
    assert client_of("ada").get("/api/v1/customers/c-1").json()["name"] == "Ours"
    assert client_of("mallory").get("/api/v1/customers/c-1").json()["name"] == "Hers"
