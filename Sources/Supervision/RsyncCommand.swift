import Wording

/// The user's own rsync over the user's own ssh, as every part of this program calls it.
package enum RsyncCommand {
    /// The program and its arguments: folders with all in them, times kept, and files compared by their bytes.
    ///
    /// rsync has no time limit of its own: it is silent for as long as it reads a large file for its checksum. A
    /// connection that is dead is ended by ssh (`ServerAliveInterval`).
    /// - Parameters:
    ///   - ssh: ssh and its options, without a machine.
    ///   - options: what else rsync is told.
    ///   - paths: sources and the target.
    package static func words(over ssh: [String], _ options: [String], _ paths: [String]) -> [String] {
        // '-s': no shell there takes paths apart.
        ["rsync", "-rtcs", "-e", ShellWord.line(ssh)] + options + ["--"] + paths
    }
}
