"""Where a mailbox is read: by time for polls, by what is unread and by the day of leaving for the home's list."""

from alembic import op

revision = "0007"
down_revision = "0005"


def upgrade() -> None:
    op.drop_index("ix_transfer_recipient_org", "transfer")
    for table, *more in (("transfer", "leaving_on", "id"), ("delivery", "updated_at"), ("delivery", "state", "opened_at", "change")):
        columns = ["recipient_org", *more]
        op.create_index(op.f(f"ix_{table}_{'_'.join(columns)}"), table, columns, unique=False)
