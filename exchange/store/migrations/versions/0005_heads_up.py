"""A new resident's papers stay shut until the home says that the person is theirs."""

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"


def upgrade() -> None:
    op.add_column("transfer", sa.Column("is_heads_up", sa.Boolean(), nullable=False, server_default=sa.false()))
