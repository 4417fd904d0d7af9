"""Random faces of the open head with everything known about them; see docs/open_faces.md."""
