"""`/v3/projects` and their tags, `/v3/users/{user_id}/projects`."""

from __future__ import annotations

from typing import Any

import falcon

from api import links
from api.core.identity import projects
from api.openstack.identity import parameters, schemas
from api.openstack.identity.rendering import collection, root
from api.openstack.identity.views import project_view
from api.openstack.resource import Resource
from hostler import errors
from hostler.db.models import Project
from hostler.query import text as query_text
from hostler.query.expressions import NOTHING

_TAGS = query_text.tags(query_text.listed_tag)


class _Projects(Resource):
    def _body(self, request: falcon.Request, project: Project) -> dict[str, Any]:
        return {"project": project_view(project, root(self.conf, request))}


class Projects(_Projects):
    """All projects."""

    def on_get(self, request: falcon.Request, response: falcon.Response) -> None:
        """List; the filters `parent_id` and `is_domain` see that a project's parent is its domain."""
        conf = self.conf
        tagged = query_text.where(_TAGS, {name: [value] for name in _TAGS
                                          if (value := parameters.text(request, name)) is not None})
        wanted = NOTHING if parameters.flag(request, "is_domain") else tagged
        query = parameters.listing(request, conf, "name", "domain_id", "enabled", parent_id="domain_id", beside=wanted)
        page = projects.list_projects(self.services, request.context.caller, query)
        response.media = collection(conf, request, "projects", page,
                                    lambda project: project_view(project, root(conf, request)))

    def on_post(self, request: falcon.Request, response: falcon.Response) -> None:
        """Create one."""
        body = parameters.body(request, self.conf, schemas.CREATE_PROJECT)
        project = projects.create_project(self.services, request.context.caller, schemas.attributes(body, "project"))
        response.status = 201
        response.media = self._body(request, project)


class OneProject(_Projects):
    """One project."""

    def on_get(self, request: falcon.Request, response: falcon.Response, project_id: str) -> None:
        """Show it."""
        response.media = self._body(request, projects.get_project(self.services, request.context.caller, project_id))

    def on_patch(self, request: falcon.Request, response: falcon.Response, project_id: str) -> None:
        """Change it."""
        body = parameters.body(request, self.conf, schemas.UPDATE_PROJECT)
        response.media = self._body(request, projects.update_project(
            self.services, request.context.caller, project_id, schemas.attributes(body, "project", project_id)))

    def on_delete(self, request: falcon.Request, response: falcon.Response, project_id: str) -> None:
        """Delete it."""
        projects.delete_project(self.services, request.context.caller, project_id)
        response.status = 204


class UserProjects(_Projects):
    """The projects on which a user has roles."""

    def on_get(self, request: falcon.Request, response: falcon.Response, user_id: str) -> None:
        """List them."""
        conf = self.conf
        query = parameters.listing(request, conf, "name", "domain_id", "enabled")
        page = projects.list_user_projects(self.services, request.context.caller, user_id, query)
        response.media = collection(conf, request, "projects", page,
                                    lambda project: project_view(project, root(conf, request)))


class ProjectTags(_Projects):
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
