"""Approvals under audit: who asked, who said what, what came of it. Payloads are left out, comments sealed as their author's."""

from django.db import migrations

from audit.capture.triggers import captured


class Migration(migrations.Migration):
    dependencies = [("audit", "0002_walls"), ("approvals", "0002_walls")]

    operations = [
        captured("approvals_approvalrequest", "ApprovalRequest", secret=["payload"], name="verb"),
        captured("approvals_approvalvote", "ApprovalVote", personal=["comments"], subject="member_id", name="answer"),
        captured("approvals_secondperson", "SecondPerson", name="verb"),
    ]
