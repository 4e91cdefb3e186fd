extension String {
    /// The path of `name` in the folder with this path.
    package func appendingPath(_ name: String) -> String { hasSuffix("/") ? self + name : self + "/" + name }

    /// The folder that holds what has this path; `.` for a bare name.
    package var parentPath: String { FileTree.parent(of: self) }
}
