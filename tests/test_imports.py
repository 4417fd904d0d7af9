"""No import goes in a circle, those inside functions included, which the floors of `lint-imports` may leave open."""

import graphlib

import grimp


def test_no_module_is_imported_by_what_it_imports():
    graph = grimp.build_graph("emoca_jax", "data_pipelines", cache_dir=None)
    assert len(graph.modules) > 150
    order = graphlib.TopologicalSorter({name: graph.find_modules_directly_imported_by(name) for name in graph.modules})
    order.prepare()  # raises where there is a circle, and says which
