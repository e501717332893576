"""The first tables."""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
TEXT = sa.Text()


def upgrade() -> None:
    op.create_table(
        "access_token",
        sa.Column("id", TEXT, nullable=False),
        sa.Column("client_id", TEXT, nullable=False),
        sa.Column("org", TEXT, nullable=False),
        sa.Column("scopes", TEXT, nullable=False),
        sa.Column("expires_at", sa.BigInteger(), nullable=False),
        sa.Column("revoked_at", sa.BigInteger(), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_access_token")),
    )
    op.create_index(op.f("ix_access_token_expires_at"), "access_token", ["expires_at"], unique=False)
    op.create_table(
        "answer",
        sa.Column("id", TEXT, nullable=False),
        sa.Column("delivery_id", TEXT, nullable=False),
        sa.Column("transfer_id", TEXT, nullable=False),
        sa.Column("number", sa.BigInteger(), nullable=False),
        sa.Column("sender_org", TEXT, nullable=False),
        sa.Column("recipient_org", TEXT, nullable=False),
        sa.Column("kind", TEXT, nullable=False),
        sa.Column("reason_code", TEXT, nullable=False),
        sa.Column("person_id", TEXT, nullable=True),
        sa.Column("client_id", TEXT, nullable=True),
        sa.Column("answered_at", sa.BigInteger(), nullable=False),
        sa.Column("content", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_answer")),
    )
    op.create_index(op.f("ix_answer_delivery_id"), "answer", ["delivery_id"], unique=False)
    op.create_index(op.f("ix_answer_transfer_id"), "answer", ["transfer_id"], unique=False)
    op.create_table(
        "audit_event",
        sa.Column("id", TEXT, nullable=False),
        sa.Column("leaf", sa.LargeBinary(), nullable=False),
        sa.Column("recorded_at", sa.BigInteger(), nullable=False),
        sa.Column("org", TEXT, nullable=False),
        sa.Column("other_org", TEXT, nullable=False),
        sa.Column("type", TEXT, nullable=False),
        sa.Column("action", TEXT, nullable=False),
        sa.Column("outcome", TEXT, nullable=False),
        sa.Column("entity_id", TEXT, nullable=True),
        sa.Column("detail_id", TEXT, nullable=True),
        sa.Column("person_id", TEXT, nullable=True),
        sa.Column("client_id", TEXT, nullable=True),
        sa.Column("nhs_number_index", sa.LargeBinary(), nullable=True),
        sa.Column("nhs_number_index_key", sa.BigInteger(), nullable=True),
        sa.Column("key_owner", TEXT, nullable=False),
        sa.Column("body", sa.LargeBinary(), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_audit_event")),
    )
    op.create_index(op.f("ix_audit_event_detail_id"), "audit_event", ["detail_id"], unique=False)
    op.create_index(op.f("ix_audit_event_entity_id"), "audit_event", ["entity_id"], unique=False)
    op.create_index(
        op.f("ix_audit_event_nhs_number_index_nhs_number_index_key"),
        "audit_event",
        ["nhs_number_index", "nhs_number_index_key"],
        unique=False,
    )
    op.create_index(op.f("ix_audit_event_org_recorded_at"), "audit_event", ["org", "recorded_at"], unique=False)
    op.create_index(op.f("ix_audit_event_recorded_at"), "audit_event", ["recorded_at"], unique=False)
    op.create_table(
        "bus_log",
        sa.Column("id", TEXT, nullable=False),
        sa.Column("position", sa.BigInteger(), nullable=False),
        sa.Column("key", TEXT, nullable=False),
        sa.Column("type", TEXT, nullable=False),
        sa.Column("body", TEXT, nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_bus_log")),
        sa.UniqueConstraint("position", name=op.f("uq_bus_log_position")),
    )
    op.create_table(
        "bus_offset",
        sa.Column("id", TEXT, nullable=False),
        sa.Column("position", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_bus_offset")),
    )
    op.create_table(
        "client",
        sa.Column("id", TEXT, nullable=False),
        sa.Column("org", TEXT, nullable=False),
        sa.Column("name", TEXT, nullable=False),
        sa.Column("scopes", TEXT, nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("revoked_at", sa.BigInteger(), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_client")),
    )
    op.create_index(op.f("ix_client_org"), "client", ["org"], unique=False)
    op.create_table(
        "client_key",
        sa.Column("id", TEXT, nullable=False),
        sa.Column("client_id", TEXT, nullable=False),
        sa.Column("org", TEXT, nullable=False),
        sa.Column("alg", TEXT, nullable=False),
        sa.Column("jwk", TEXT, nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_client_key")),
    )
    op.create_index(op.f("ix_client_key_client_id"), "client_key", ["client_id"], unique=False)
    op.create_table(
        "data_key",
        sa.Column("id", TEXT, nullable=False),
        sa.Column("owner_kind", TEXT, nullable=False),
        sa.Column("owner_id", TEXT, nullable=False),
        sa.Column("sealed", sa.LargeBinary(), nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_data_key")),
        sa.UniqueConstraint("owner_kind", "owner_id", name=op.f("uq_data_key_owner_kind_owner_id")),
    )
    op.create_table(
        "delivery",
        sa.Column("id", TEXT, nullable=False),
        sa.Column("transfer_id", TEXT, nullable=False),
        sa.Column("version_id", TEXT, nullable=False),
        sa.Column("number", sa.BigInteger(), nullable=False),
        sa.Column("sender_org", TEXT, nullable=False),
        sa.Column("recipient_org", TEXT, nullable=False),
        sa.Column("event_id", TEXT, nullable=False),
        sa.Column("sequence", sa.BigInteger(), nullable=False),
        sa.Column("change", sa.BigInteger(), nullable=False),
        sa.Column("updated_at", sa.BigInteger(), nullable=False),
        sa.Column("delivered_at", sa.BigInteger(), nullable=False),
        sa.Column("state", TEXT, nullable=False),
        sa.Column("collected_at", sa.BigInteger(), nullable=True),
        sa.Column("opened_at", sa.BigInteger(), nullable=True),
        sa.Column("opened_by", TEXT, nullable=True),
        sa.Column("withdrawal_seen_at", sa.BigInteger(), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_delivery")),
        sa.UniqueConstraint("event_id", name=op.f("uq_delivery_event_id")),
        sa.UniqueConstraint("recipient_org", "change", name=op.f("uq_delivery_recipient_org_change")),
        sa.UniqueConstraint("recipient_org", "sequence", name=op.f("uq_delivery_recipient_org_sequence")),
        sa.UniqueConstraint("version_id", name=op.f("uq_delivery_version_id")),
    )
    op.create_index(op.f("ix_delivery_transfer_id"), "delivery", ["transfer_id"], unique=False)
    op.create_table(
        "hold",
        sa.Column("id", TEXT, nullable=False),
        sa.Column("kind", TEXT, nullable=False),
        sa.Column("sender_org", TEXT, nullable=False),
        sa.Column("owner", TEXT, nullable=False),
        sa.Column("code", TEXT, nullable=False),
        sa.Column("raised_at", sa.BigInteger(), nullable=False),
        sa.Column("deadline_at", sa.BigInteger(), nullable=False),
        sa.Column("submission_id", TEXT, nullable=True),
        sa.Column("stay_id", TEXT, nullable=True),
        sa.Column("transfer_id", TEXT, nullable=True),
        sa.Column("resolved_at", sa.BigInteger(), nullable=True),
        sa.Column("resolution", TEXT, nullable=False),
        sa.Column("resolved_by", TEXT, nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_hold")),
    )
    op.create_index(op.f("ix_hold_sender_org_resolved_at"), "hold", ["sender_org", "resolved_at"], unique=False)
    op.create_index(op.f("ix_hold_stay_id"), "hold", ["stay_id"], unique=False)
    op.create_index(op.f("ix_hold_submission_id"), "hold", ["submission_id"], unique=False)
    op.create_index(op.f("ix_hold_transfer_id"), "hold", ["transfer_id"], unique=False)
    op.create_table(
        "index_key",
        sa.Column("id", TEXT, nullable=False),
        sa.Column("generation", sa.BigInteger(), nullable=False),
        sa.Column("scope", TEXT, nullable=False),
        sa.Column("key", sa.LargeBinary(), nullable=False),
        sa.Column("retired_at", sa.BigInteger(), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_index_key")),
    )
    op.create_table(
        "link",
        sa.Column("id", TEXT, nullable=False),
        sa.Column("person_id", TEXT, nullable=False),
        sa.Column("org", TEXT, nullable=False),
        sa.Column("secret_hash", sa.LargeBinary(), nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("expires_at", sa.BigInteger(), nullable=False),
        sa.Column("used_at", sa.BigInteger(), nullable=True),
        sa.Column("revoked_at", sa.BigInteger(), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_link")),
        sa.UniqueConstraint("secret_hash", name=op.f("uq_link_secret_hash")),
    )
    op.create_table(
        "mailbox",
        sa.Column("id", TEXT, nullable=False),
        sa.Column("last_sequence", sa.BigInteger(), nullable=False),
        sa.Column("last_change", sa.BigInteger(), nullable=False),
        sa.Column("last_event", sa.BigInteger(), nullable=False),
        sa.Column("listed_change", sa.BigInteger(), nullable=False),
        sa.Column("last_updated_at", sa.BigInteger(), nullable=True),
        sa.Column("polled_at", sa.BigInteger(), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_mailbox")),
    )
    op.create_table(
        "org_key",
        sa.Column("id", TEXT, nullable=False),
        sa.Column("org", TEXT, nullable=False),
        sa.Column("use", TEXT, nullable=False),
        sa.Column("public_jwk", TEXT, nullable=False),
        sa.Column("private_jwk", sa.LargeBinary(), nullable=True),
        sa.Column("not_before", sa.BigInteger(), nullable=False),
        sa.Column("not_after", sa.BigInteger(), nullable=False),
        sa.Column("compromised_at", sa.BigInteger(), nullable=True),
        sa.Column("destroyed_at", sa.BigInteger(), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_org_key")),
    )
    op.create_index(op.f("ix_org_key_org_use"), "org_key", ["org", "use"], unique=False)
    op.create_table(
        "organisation",
        sa.Column("id", TEXT, nullable=False),
        sa.Column("name", TEXT, nullable=False),
        sa.Column("kind", TEXT, nullable=False),
        sa.Column("street", TEXT, nullable=False),
        sa.Column("town", TEXT, nullable=False),
        sa.Column("postcode", TEXT, nullable=False),
        sa.Column("phone", TEXT, nullable=False),
        sa.Column("provider", TEXT, nullable=False),
        sa.Column("provider_name", TEXT, nullable=False),
        sa.Column("cqc", TEXT, nullable=False),
        sa.Column("care_kind", TEXT, nullable=False),
        sa.Column("has_mailbox", sa.Boolean(), nullable=False),
        sa.Column("opened_on", TEXT, nullable=False),
        sa.Column("closed_on", TEXT, nullable=False),
        sa.Column("verified_at", sa.BigInteger(), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_organisation")),
    )
    op.create_index(op.f("ix_organisation_postcode"), "organisation", ["postcode"], unique=False)
    op.create_table(
        "outbox",
        sa.Column("id", TEXT, nullable=False),
        sa.Column("type", TEXT, nullable=False),
        sa.Column("key", TEXT, nullable=False),
        sa.Column("sequence", sa.BigInteger(), nullable=False),
        sa.Column("body", TEXT, nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("state", TEXT, nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_outbox")),
        sa.UniqueConstraint("key", "sequence", name=op.f("uq_outbox_key_sequence")),
    )
    op.create_index(op.f("ix_outbox_state_key"), "outbox", ["state", "key"], unique=False)
    op.create_table(
        "part",
        sa.Column("id", TEXT, nullable=False),
        sa.Column("version_id", TEXT, nullable=False),
        sa.Column("transfer_id", TEXT, nullable=False),
        sa.Column("sender_org", TEXT, nullable=False),
        sa.Column("recipient_org", TEXT, nullable=False),
        sa.Column("position", sa.BigInteger(), nullable=False),
        sa.Column("media_type", TEXT, nullable=False),
        sa.Column("size_bytes", sa.BigInteger(), nullable=False),
        sa.Column("label", sa.LargeBinary(), nullable=False),
        sa.Column("jwe", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_part")),
        sa.UniqueConstraint("version_id", "position", name=op.f("uq_part_version_id_position")),
    )
    op.create_table(
        "person",
        sa.Column("id", TEXT, nullable=False),
        sa.Column("org", TEXT, nullable=False),
        sa.Column("role", TEXT, nullable=False),
        sa.Column("name", sa.LargeBinary(), nullable=False),
        sa.Column("address", sa.LargeBinary(), nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("is_active", sa.Boolean(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_person")),
    )
    op.create_index(op.f("ix_person_org"), "person", ["org"], unique=False)
    op.create_table(
        "sender",
        sa.Column("id", TEXT, nullable=False),
        sa.Column("org", TEXT, nullable=False),
        sa.Column("channel", TEXT, nullable=False),
        sa.Column("port", sa.BigInteger(), nullable=False),
        sa.Column("profile", TEXT, nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("folder", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_sender")),
    )
    op.create_index(op.f("ix_sender_org"), "sender", ["org"], unique=False)
    op.create_table(
        "session",
        sa.Column("id", TEXT, nullable=False),
        sa.Column("person_id", TEXT, nullable=False),
        sa.Column("org", TEXT, nullable=False),
        sa.Column("secret_hash", sa.LargeBinary(), nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("seen_at", sa.BigInteger(), nullable=False),
        sa.Column("expires_at", sa.BigInteger(), nullable=False),
        sa.Column("revoked_at", sa.BigInteger(), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_session")),
        sa.UniqueConstraint("secret_hash", name=op.f("uq_session_secret_hash")),
    )
    op.create_table(
        "stay",
        sa.Column("id", TEXT, nullable=False),
        sa.Column("sender_org", TEXT, nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("visit_id_index", sa.LargeBinary(), nullable=True),
        sa.Column("visit_id_index_key", sa.BigInteger(), nullable=True),
        sa.Column("nhs_number_index", sa.LargeBinary(), nullable=True),
        sa.Column("nhs_number_index_key", sa.BigInteger(), nullable=True),
        sa.Column("local_id_index", sa.LargeBinary(), nullable=True),
        sa.Column("local_id_index_key", sa.BigInteger(), nullable=True),
        sa.Column("identity", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_stay")),
    )
    op.create_index(
        op.f("ix_stay_nhs_number_index_nhs_number_index_key"), "stay", ["nhs_number_index", "nhs_number_index_key"], unique=False
    )
    op.create_index(op.f("ix_stay_local_id_index_local_id_index_key"), "stay", ["local_id_index", "local_id_index_key"], unique=False)
    op.create_index(op.f("ix_stay_sender_org_visit_id_index"), "stay", ["sender_org", "visit_id_index"], unique=False)
    op.create_index(op.f("ix_stay_visit_id_index_visit_id_index_key"), "stay", ["visit_id_index", "visit_id_index_key"], unique=False)
    op.create_table(
        "submission",
        sa.Column("id", TEXT, nullable=False),
        sa.Column("sender_org", TEXT, nullable=False),
        sa.Column("sender_id", TEXT, nullable=False),
        sa.Column("channel", TEXT, nullable=False),
        sa.Column("media_type", TEXT, nullable=False),
        sa.Column("size_bytes", sa.BigInteger(), nullable=False),
        sa.Column("accepted_at", sa.BigInteger(), nullable=False),
        sa.Column("source_id_index", sa.LargeBinary(), nullable=True),
        sa.Column("source_id_index_key", sa.BigInteger(), nullable=True),
        sa.Column("digest_index", sa.LargeBinary(), nullable=True),
        sa.Column("digest_index_key", sa.BigInteger(), nullable=True),
        sa.Column("content", sa.LargeBinary(), nullable=True),
        sa.Column("state", TEXT, nullable=False),
        sa.Column("event", TEXT, nullable=False),
        sa.Column("kind", TEXT, nullable=False),
        sa.Column("reason", TEXT, nullable=False),
        sa.Column("stay_id", TEXT, nullable=True),
        sa.Column("reuses_id_of", TEXT, nullable=True),
        sa.Column("erase_after", sa.BigInteger(), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_submission")),
    )
    op.create_index(op.f("ix_submission_digest_index_digest_index_key"), "submission", ["digest_index", "digest_index_key"], unique=False)
    op.create_index(
        op.f("ix_submission_source_id_index_source_id_index_key"), "submission", ["source_id_index", "source_id_index_key"], unique=False
    )
    op.create_index(op.f("ix_submission_state_accepted_at"), "submission", ["state", "accepted_at"], unique=False)
    op.create_index(op.f("ix_submission_stay_id"), "submission", ["stay_id"], unique=False)
    op.create_table(
        "supplement",
        sa.Column("id", TEXT, nullable=False),
        sa.Column("transfer_id", TEXT, nullable=False),
        sa.Column("sender_org", TEXT, nullable=False),
        sa.Column("person_id", TEXT, nullable=False),
        sa.Column("received_at", sa.BigInteger(), nullable=False),
        sa.Column("content", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_supplement")),
    )
    op.create_index(op.f("ix_supplement_transfer_id"), "supplement", ["transfer_id"], unique=False)
    op.create_table(
        "transfer",
        sa.Column("id", TEXT, nullable=False),
        sa.Column("stay_id", TEXT, nullable=False),
        sa.Column("sender_org", TEXT, nullable=False),
        sa.Column("recipient_org", TEXT, nullable=True),
        sa.Column("state", TEXT, nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("confirmed_at", sa.BigInteger(), nullable=True),
        sa.Column("confirmed_by", TEXT, nullable=True),
        sa.Column("leaving_on", TEXT, nullable=False),
        sa.Column("versions", sa.BigInteger(), nullable=False),
        sa.Column("withdrawn_at", sa.BigInteger(), nullable=True),
        sa.Column("withdrawn_reason", TEXT, nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_transfer")),
    )
    op.create_index(op.f("ix_transfer_recipient_org"), "transfer", ["recipient_org"], unique=False)
    op.create_index(op.f("ix_transfer_sender_org_state"), "transfer", ["sender_org", "state"], unique=False)
    op.create_index(op.f("ix_transfer_stay_id"), "transfer", ["stay_id"], unique=False)
    op.create_table(
        "used_assertion",
        sa.Column("id", TEXT, nullable=False),
        sa.Column("expires_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_used_assertion")),
    )
    op.create_index(op.f("ix_used_assertion_expires_at"), "used_assertion", ["expires_at"], unique=False)
    op.create_table(
        "version",
        sa.Column("id", TEXT, nullable=False),
        sa.Column("transfer_id", TEXT, nullable=False),
        sa.Column("sender_org", TEXT, nullable=False),
        sa.Column("recipient_org", TEXT, nullable=False),
        sa.Column("number", sa.BigInteger(), nullable=False),
        sa.Column("published_at", sa.BigInteger(), nullable=False),
        sa.Column("jws", TEXT, nullable=False),
        sa.Column("manifest_digest", TEXT, nullable=False),
        sa.Column("badge", TEXT, nullable=False),
        sa.Column("missing", TEXT, nullable=False),
        sa.Column("rule_set", TEXT, nullable=False),
        sa.Column("gate", sa.LargeBinary(), nullable=False),
        sa.Column("shown", sa.LargeBinary(), nullable=False),
        sa.Column("person", sa.LargeBinary(), nullable=False),
        sa.Column("nhs_number_index", sa.LargeBinary(), nullable=True),
        sa.Column("nhs_number_index_key", sa.BigInteger(), nullable=True),
        sa.Column("has_document", sa.Boolean(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_version")),
        sa.UniqueConstraint("transfer_id", "number", name=op.f("uq_version_transfer_id_number")),
    )
    op.create_index(
        op.f("ix_version_nhs_number_index_nhs_number_index_key"), "version", ["nhs_number_index", "nhs_number_index_key"], unique=False
    )
    op.create_table(
        "work",
        sa.Column("id", TEXT, nullable=False),
        sa.Column("kind", TEXT, nullable=False),
        sa.Column("subject_id", TEXT, nullable=False),
        sa.Column("due_at", sa.BigInteger(), nullable=False),
        sa.Column("again", sa.BigInteger(), nullable=False),
        sa.Column("fence", sa.BigInteger(), nullable=False),
        sa.Column("attempts", sa.BigInteger(), nullable=False),
        sa.Column("leased_until", sa.BigInteger(), nullable=True),
        sa.Column("error_code", TEXT, nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_work")),
    )
    op.create_index(op.f("ix_work_due_at"), "work", ["due_at"], unique=False)


def downgrade() -> None:
    for table in (
        "work",
        "version",
        "used_assertion",
        "transfer",
        "supplement",
        "submission",
        "stay",
        "session",
        "sender",
        "person",
        "part",
        "outbox",
        "organisation",
        "org_key",
        "mailbox",
        "link",
        "index_key",
        "hold",
        "delivery",
        "data_key",
        "client_key",
        "client",
        "bus_offset",
        "bus_log",
        "audit_event",
        "answer",
        "access_token",
    ):
        op.drop_table(table)
