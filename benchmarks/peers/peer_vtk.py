"""VTK: OpenGL, which without a GPU is Mesa's llvmpipe on all cores."""

import numpy as np
import vtk
from job import START, Prepared, run
from vtk.util.numpy_support import numpy_to_vtk, numpy_to_vtkIdTypeArray, vtk_to_numpy


def prepare(vertices, faces, size):
    cells = vtk.vtkCellArray()
    cells.SetData(3, numpy_to_vtkIdTypeArray(faces.astype(np.int64).reshape(-1), deep=True))
    mesh = vtk.vtkPolyData()
    mesh.SetPolys(cells)
    mapper = vtk.vtkPolyDataMapper()
    mapper.SetInputData(mesh)
    actor = vtk.vtkActor()
    actor.SetMapper(mapper)
    actor.GetProperty().LightingOff()
    renderer = vtk.vtkRenderer()
    renderer.AddActor(actor)
    window = vtk.vtkRenderWindow()
    window.SetMultiSamples(0)
    window.SetOffScreenRendering(1)
    window.SetSize(size, size)
    window.AddRenderer(renderer)
    camera = renderer.GetActiveCamera()
    camera.ParallelProjectionOn()
    camera.SetParallelScale(1.0)
    camera.SetPosition(0, 0, START)
    camera.SetFocalPoint(0, 0, 0)
    camera.SetViewUp(0, 1, 0)
    near, far = 1.0, 2 * START
    camera.SetClippingRange(near, far)

    def forward():
        images = []
        for points in vertices:
            place = vtk.vtkPoints()
            place.SetData(numpy_to_vtk(points * np.array([1, -1, -1], np.float32), deep=True))
            mesh.SetPoints(place)
            window.Render()
            values = vtk.vtkFloatArray()
            window.GetZbufferData(0, 0, size - 1, size - 1, values)
            depth = vtk_to_numpy(values).reshape(size, size)[::-1]
            images.append(np.where(depth < 1, near + depth * (far - near) - START, np.inf))
        return np.stack(images)

    return Prepared("vtk", forward, None, "depth")


run(prepare)
