// Who takes part in a run: what its learner has answered.

/** What is done of a batch, as a bar. */
function progressOf(title, batch) {
  if (!batch || !(batch.total > 0)) return null;
  const sampled = batch.total - batch.missing;
  return node('div', { class: 'panel' }, node('h3', null, title),
    stack([['graded', batch.ready, seriesColour(2)], ['sampled', sampled - batch.ready, seriesColour(0)], ['missing', batch.missing, colour('--line')]], batch.total, count),
    node('p', { class: 'soft' }, `${count(sampled)} sampled and ${count(batch.ready)} graded of ${count(batch.total)}`));
}

function memberRow(member) {
  return [member.name, member.role === 'scorer' ? `scorer of ${list(member.teachers).join(', ')}` : member.role,
    `${count(member.tasks)} of ${count(member.window)}`, count(member.leases), member.role === 'scorer' ? '\u2013' : count(member.version),
    figure(member.tokens_per_second), `${fixed(member.silence_s, 1)} s`, member.state];
}

function statusParts(run) {
  const status = run.status;
  if (!status) return [node('p', null, run.silence ? `The learner has not answered: ${run.silence}.` : 'Asking the learner \u2026')];
  const waits = status.waiting_for ? `${status.waiting_for}; nothing has come for ${duration(status.waiting_s)}` : 'nobody is waited for';
  const queues = [['prompts for rollout workers', count(status.pending_prompts)],
    ...list(status.queues).map((queue) => [`responses for teacher ${queue.teacher}`, count(queue.waiting)]), ['leases out', count(status.leases)]];
  const tokens = ['trained', 'discarded', 'in_flight'].map((name, index) => [name.replace('_', ' '), status[`tokens_${name}`], seriesColour([2, 1, 0][index])]);
  const members = list(status.members);
  return [
    node('div', { class: 'tiles' }, tile('step', `${count(status.version)} of ${count(status.steps)}`, `up for ${duration(status.uptime_s)}`),
      tile('the learner', status.doing, waits), tile('members', count(members.length), `${count(status.leases)} leases out`)),
    node('div', { class: 'halves' }, progressOf('Next batch', status.batch), progressOf('Evaluation', status.evaluation),
      node('div', { class: 'panel' }, node('h3', null, 'Tokens'), stack(tokens, status.tokens_generated, count),
        node('p', { class: 'soft' }, `${count(status.tokens_generated)} generated`))),
    node('h2', null, 'Queues'), table(['what waits', 'how many'], queues), node('h2', null, 'Members'),
    members.length === 0 ? node('p', null, 'no members')
      : table(['member', 'role', 'tasks', 'leases', 'weights', 'tokens a second', 'silent', 'state'], members.map(memberRow)),
  ];
}
