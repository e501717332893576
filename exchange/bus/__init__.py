"""What carries published events: the table bus. One interface (ports.Bus), more drivers later."""
