"""What is known without a cluster: settings, policy, and what follows from them."""

from __future__ import annotations

import os
import secrets
import socket
from functools import cached_property

from retention_enforcer import policy_file
from retention_enforcer.bootstrap.surroundings import Surroundings
from retention_enforcer.domain.errors import ConfigurationError
from retention_enforcer.domain.lifecycles.compiler import Lifecycles, Unmeetable, compile_lifecycles
from retention_enforcer.domain.policy.promises import Policy, fingerprint
from retention_enforcer.domain.policy.rules import settings_problems
from retention_enforcer.domain.privileges import AccessRole
from retention_enforcer.domain.subjects.pseudonyms import Pseudonyms, Redactor
from retention_enforcer.enforcement.lifecycles.observer import ILM
from retention_enforcer.enforcement.terms import Terms
from retention_enforcer.settings import Settings, load_settings


class Configuration:
    """What the environment and the policy file say: all that needs no cluster."""

    def __init__(self, surroundings: Surroundings) -> None:
        self.settings: Settings = load_settings(surroundings.environ)
        self.clock = surroundings.clock
        self.own = surroundings.own
        self.rhythm = surroundings.rhythm
        self.erases_for = surroundings.erases_for

    @cached_property
    def policy(self) -> Policy:
        """The policy, with the settings that must fit it."""
        policy = policy_file.load_policy(self.settings.require_policy_file(), self.clock.now())
        problems = settings_problems(policy, interval=self.settings.interval, grace=self.settings.grace)
        if problems:
            raise ConfigurationError(problems[0].text, problems[0].remedy)
        return policy

    @cached_property
    def fingerprint(self) -> str:
        """The fingerprint of all that decides deletions."""
        s = self.settings
        return fingerprint(self.policy, grace=s.grace, max_share=s.max_share, lifecycle=s.lifecycle)

    @cached_property
    def instance(self) -> str:
        """The name of this process: no two that run at the same time share it, unless they are told to."""
        return self.settings.instance or f"{socket.gethostname()}-{os.getpid()}-{secrets.token_hex(2)}"

    @property
    def role(self) -> AccessRole:
        """Whose privileges `run` needs in the mode that the settings name."""
        return AccessRole.ENFORCER if self.settings.mode == "enforce" else AccessRole.READER

    @cached_property
    def pseudonyms(self) -> Pseudonyms:
        """The pseudonyms; without a key they are all alike."""
        key = self.settings.pseudonym_key
        return Pseudonyms(key.get_secret_value().encode() if key else None)

    @property
    def redactor(self) -> Redactor:
        """What takes ids out of names of indices, and of texts about them."""
        return Redactor(self.pseudonyms, self.policy.patterns)

    def hide(self, text: str) -> str:
        """Return a text without the ids in the names of tenants' indices."""
        return self.redactor.text(text)

    @property
    def terms(self) -> Terms:
        """Under what the enforcer works."""
        return Terms(
            policy=self.policy,
            fingerprint=self.fingerprint,
            max_share=self.settings.max_share,
            pinned_cluster=self.settings.cluster_uuid,
            accept=self.settings.accept_policy,
        )

    def compiled(self, poll: int) -> dict[str, Lifecycles | Unmeetable]:
        """Return the lifecycle policies of each category on a cluster with this poll interval."""
        policy, fingerprint = self.policy, self.fingerprint
        return {c.id: compile_lifecycles(policy, c, fingerprint, poll) for c in policy.categories}

    def raise_if_unmeetable(self, poll: int) -> None:
        """Raise ConfigurationError where the settings insist on lifecycles, and one cannot keep its promise."""
        for id_, found in self.compiled(poll).items():
            if self.settings.lifecycle == ILM and isinstance(found, Unmeetable):
                raise ConfigurationError(
                    f"no lifecycle can keep the promise of {id_}: {found.arithmetic}", found.remedy
                )
