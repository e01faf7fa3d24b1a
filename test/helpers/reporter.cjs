// Mocha's spec reporter that also leaves its totals in the file that TEST_TOTALS names, for .ci/run to add up.
const { appendFileSync } = require("node:fs");
const Mocha = require("mocha");

module.exports = class extends Mocha.reporters.Spec {
  constructor(runner, options) {
    super(runner, options);
    runner.once(Mocha.Runner.constants.EVENT_RUN_END, () => {
      const { passes, failures, pending } = this.stats;
      if (process.env.TEST_TOTALS) {
        appendFileSync(process.env.TEST_TOTALS, `${passes} ${failures} ${pending}\n`);
      }
    });
  }
};
