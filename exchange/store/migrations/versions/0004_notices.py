"""Notices, a blind index of registered addresses, and a picked home that waits for a second person."""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0002"


def upgrade() -> None:
    op.create_table(
        "notice",
        *(sa.Column(name, sa.Text(), nullable=False) for name in ("id", "code", "subject_id", "org", "sender_org", "person_id")),
        *(sa.Column(name, sa.BigInteger(), nullable=False) for name in ("created_at", "due_at")),
        sa.Column("transfer_id", sa.Text(), nullable=True),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("attempts", sa.BigInteger(), nullable=False),
        sa.Column("sent_at", sa.BigInteger(), nullable=True),
        sa.Column("error_code", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_notice")),
        sa.UniqueConstraint("subject_id", "code", "person_id", name=op.f("uq_notice_subject_id_code_person_id")),
    )
    op.create_index(op.f("ix_notice_state_due_at"), "notice", ["state", "due_at"], unique=False)
    op.add_column("person", sa.Column("registered_index", sa.LargeBinary(), nullable=True))
    op.add_column("person", sa.Column("registered_index_key", sa.BigInteger(), nullable=True))
    op.create_index(
        op.f("ix_person_registered_index_registered_index_key"), "person", ["registered_index", "registered_index_key"], unique=False
    )
    op.add_column("transfer", sa.Column("proposed_site", sa.Text(), nullable=False, server_default=""))
    op.add_column("transfer", sa.Column("proposed_by", sa.Text(), nullable=True))
