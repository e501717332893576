"""Events that are settled, parked ones, the relay's lease; the table bus carries what Kafka carries."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    op.add_column("outbox", sa.Column("published_at", sa.BigInteger(), nullable=True))
    op.add_column("outbox", sa.Column("settled_at", sa.BigInteger(), nullable=True))
    op.create_index(op.f("ix_outbox_settled_at_key"), "outbox", ["settled_at", "key"], unique=False)
    op.create_table(
        "parked_event",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("key", sa.Text(), nullable=False),
        sa.Column("sequence", sa.BigInteger(), nullable=False),
        sa.Column("type", sa.Text(), nullable=False),
        sa.Column("code", sa.Text(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("attempts", sa.BigInteger(), nullable=False),
        sa.Column("failed_at", sa.BigInteger(), nullable=False),
        sa.Column("due_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_parked_event")),
    )
    op.create_index(op.f("ix_parked_event_state_due_at"), "parked_event", ["state", "due_at"], unique=False)
    op.create_table(
        "lease",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("holder", sa.Text(), nullable=False),
        sa.Column("until", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_lease")),
    )
    for name in ("sequence", "created_at"):
        op.add_column("bus_log", sa.Column(name, sa.BigInteger(), nullable=False, server_default="0"))
    # What the old consumer has passed is settled, and what its log holds is numbered.
    op.execute("UPDATE bus_log SET sequence = o.sequence, created_at = o.created_at FROM outbox AS o WHERE o.id = bus_log.id")
    op.execute("UPDATE outbox SET published_at = created_at WHERE state = 'published'")
    op.execute(
        "UPDATE outbox SET settled_at = created_at WHERE id IN "
        "(SELECT id FROM bus_log WHERE position <= (SELECT position FROM bus_offset WHERE id = 'deliver'))"
    )
