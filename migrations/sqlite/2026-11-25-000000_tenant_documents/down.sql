UPDATE tenants SET settings = coalesce(json_extract(settings, '$.queues'), '{}') WHERE settings IS NOT NULL;
