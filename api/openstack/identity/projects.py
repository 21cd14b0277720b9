"""`/v3/projects` and their tags, `/v3/users/{user_id}/projects`."""

from __future__ import annotations

from typing import Any, Final

import falcon
from oslo_config import cfg

from api import links
from api.core.identity import projects
from api.openstack.identity import nouns, parameters, schemas
from api.openstack.identity.nouns import Noun
from api.openstack.identity.views import project_view
from api.openstack.resource import Resource
from hostler import errors
from hostler.db.models import Project
from hostler.query import text as query_text
from hostler.query.expressions import NOTHING
from hostler.query.paging import Query

_TAGS = query_text.tags(query_text.listed_tag)


def _listing(request: falcon.Request, conf: cfg.ConfigOpts) -> Query:
    # A project's parent is its domain, and no project is one.
    tagged = query_text.where(_TAGS, {name: [value] for name in _TAGS
                                      if (value := parameters.text(request, name)) is not None})
    return parameters.listing(request, conf, "name", "domain_id", "enabled", parent_id="domain_id",
                              beside=NOTHING if parameters.flag(request, "is_domain") else tagged)


PROJECT: Final = Noun(
    name="project", view=project_view, creation=schemas.CREATE_PROJECT, change=schemas.UPDATE_PROJECT,
    listing=_listing, list_page=projects.list_projects, get=projects.get_project, create=projects.create_project,
    update=projects.update_project, delete=projects.delete_project)


class OneProject(nouns.Item):
    """A project, with the projects above and below it when they are asked for."""

    def on_get(self, request: falcon.Request, response: falcon.Response, **place: str) -> None:
        """Show it."""
        relatives = {name: _spelling(request, name) for name in ("parents", "subtree")}
        super().on_get(request, response, **place)
        shown = response.media["project"]
        # There is no tree: above a project is its domain alone, which is no project, and below it nothing.
        as_ids = {"parents": {shown["parent_id"]: None}, "subtree": None}
        shown.update({name: as_ids[name] if spelling == "ids" else []
                      for name, spelling in relatives.items() if spelling is not None})


def _spelling(request: falcon.Request, name: str) -> str | None:
    """Return whether relatives are asked for as `ids` or as a `list`; raises Invalid for both."""
    asked = [spelling for spelling in ("list", "ids") if parameters.flag(request, f"{name}_as_{spelling}")]
    if len(asked) > 1:
        raise errors.Invalid(reason=f"Cannot use {name}_as_list and {name}_as_ids query params at the same time.")
    return asked[0] if asked else None


class UserProjects(nouns.Resource):
    """The projects on which a user has roles."""

    def on_get(self, request: falcon.Request, response: falcon.Response, user_id: str) -> None:
        """List them."""
        query = parameters.listing(request, self.conf, "name", "domain_id", "enabled")
        response.media = self.show_page(request, projects.list_user_projects(
            self.services, request.context.caller, user_id, query))


class ProjectTags(Resource):
    """A project's tags."""

    def on_get(self, request: falcon.Request, response: falcon.Response, project_id: str) -> None:
        """List them."""
        project = projects.get_project(self.services, request.context.caller, project_id,
                                       "identity:list_project_tags")
        response.media = self._tags_body(request, project)

    def _tags_body(self, request: falcon.Request, project: Project) -> dict[str, Any]:
        return {"tags": project.tags,
                "links": {"self": links.own_url(self.conf, request), "previous": None, "next": None}}

    def on_put(self, request: falcon.Request, response: falcon.Response, project_id: str) -> None:
        """Replace them."""
        body = parameters.body(request, self.conf, schemas.PROJECT_TAGS)
        project = self._write(request, project_id, body["tags"])
        response.media = self._tags_body(request, project)

    def on_delete(self, request: falcon.Request, response: falcon.Response, project_id: str) -> None:
        """Remove all."""
        self._write(request, project_id, [])
        response.status = 204

    def _write(self, request: falcon.Request, project_id: str, tags: list[str]) -> Project:
        return projects.update_project(self.services, request.context.caller, project_id, {"tags": tags},
                                       "identity:update_project_tags")


class OneProjectTag(ProjectTags):
    """One tag of a project."""

    def on_get(self, request: falcon.Request, response: falcon.Response,  # type: ignore[override]
               project_id: str, tag: str) -> None:
        """Say whether the project has it."""
        project = projects.get_project(self.services, request.context.caller, project_id,
                                       "identity:list_project_tags")
        if tag not in project.tags:
            raise errors.NotFound(f"Could not find tag: {tag[:64]}.", resource="tag", id=tag[:64])
        response.status = 204

    def on_head(self, request: falcon.Request, response: falcon.Response, project_id: str, tag: str) -> None:
        """Say whether the project has it."""
        self.on_get(request, response, project_id, tag)

    def on_put(self, request: falcon.Request, response: falcon.Response,  # type: ignore[override]
               project_id: str, tag: str) -> None:
        """Add it."""
        tags = self._tags(request, project_id)
        schemas.PROJECT_TAGS({"tags": list(dict.fromkeys([*tags, tag]))})
        if tag not in tags:
            self._write(request, project_id, [*tags, tag])
        response.status = 201

    def on_delete(self, request: falcon.Request, response: falcon.Response,  # type: ignore[override]
                  project_id: str, tag: str) -> None:
        """Remove it."""
        tags = self._tags(request, project_id)
        if tag not in tags:
            raise errors.NotFound(f"Could not find tag: {tag[:64]}.", resource="tag", id=tag[:64])
        self._write(request, project_id, [other for other in tags if other != tag])
        response.status = 204

    def _tags(self, request: falcon.Request, project_id: str) -> list[str]:
        project = projects.get_project(self.services, request.context.caller, project_id,
                                       "identity:update_project_tags")
        return list(project.tags)
