"""Objects as facts, meshes and skeletons, and as files (numpy, bioimage-cpp)."""
