//! Number rules, from the settings in memory.

use domain::ids::TenantId;
use domain::number_rules::{NumberQuestion, NumberVerdict};
use domain::ports::{NumberDesk, NumberDeskError};

use super::Desk;

impl NumberDesk for Desk {
    fn judge_number(&self, tenant: TenantId, question: &NumberQuestion) -> Result<NumberVerdict, NumberDeskError> {
        question.answer(self.tenant(tenant)?.as_ref())
    }
}
