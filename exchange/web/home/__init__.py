"""The care home's pages: pure views of plain data, and the templates that show them. No JavaScript."""

from exchange.web.home.inbox import InboxView, inbox_view
from exchange.web.home.page import TransferView
from exchange.web.home.render import CONTENT_SECURITY_POLICY, Renderer
from exchange.web.home.view import transfer_view

__all__ = ["CONTENT_SECURITY_POLICY", "InboxView", "Renderer", "TransferView", "inbox_view", "transfer_view"]
