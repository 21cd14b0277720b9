"""`/v3/domains`."""

from __future__ import annotations

from typing import Final

from api.core.identity import domains
from api.openstack.identity import parameters, schemas
from api.openstack.identity.nouns import Noun
from api.openstack.identity.views import domain_view

DOMAIN: Final = Noun(
    name="domain", view=domain_view, creation=schemas.CREATE_DOMAIN, change=schemas.UPDATE_DOMAIN,
    listing=lambda request, conf: parameters.listing(request, conf, "name", "enabled"),
    list_page=domains.list_domains, get=domains.get_domain, create=domains.create_domain,
    update=domains.update_domain, delete=domains.delete_domain)
