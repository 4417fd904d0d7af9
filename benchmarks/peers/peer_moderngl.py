"""moderngl: OpenGL, which without a GPU is Mesa's llvmpipe on all cores. Depth and face are read back."""

import moderngl
import numpy as np
from job import Prepared, run

VERTEX = """
#version 330
in vec3 place;
out float depth;
void main() { depth = place.z; gl_Position = vec4(place.x, place.y, place.z / 16.0, 1.0); }
"""
FRAGMENT = """
#version 330
in float depth;
layout(location = 0) out vec2 seen;
void main() { seen = vec2(depth, float(gl_PrimitiveID)); }
"""


def prepare(vertices, faces, size):
    context = moderngl.create_standalone_context(backend="egl")
    context.enable(moderngl.DEPTH_TEST)
    program = context.program(vertex_shader=VERTEX, fragment_shader=FRAGMENT)
    place = context.buffer(reserve=vertices[0].nbytes)
    corners = context.buffer(faces.astype(np.int32).tobytes())
    mesh = context.vertex_array(program, [(place, "3f", "place")], corners)
    seen = context.texture((size, size), 2, dtype="f4")
    frame = context.framebuffer([seen], context.depth_renderbuffer((size, size)))
    frame.use()

    def forward():
        images = []
        for points in vertices:
            place.write(np.ascontiguousarray(points, np.float32).tobytes())
            frame.clear(1e9, -1.0)
            mesh.render(moderngl.TRIANGLES)
            # Rows come bottom up, and y was handed over as it is: the two cancel.
            images.append(np.frombuffer(seen.read(), np.float32).reshape(size, size, 2)[..., 0])
        return np.stack(images)

    return Prepared("moderngl", forward, None, f"depth and face; {context.info['GL_RENDERER'][:40]}")


run(prepare)
